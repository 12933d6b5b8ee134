"""One file a user: conversations about screens, split by users or by one user's own samples."""
