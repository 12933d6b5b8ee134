"""What a person looks at: the pages and tables of a run and of a preview, made from what lies in a folder."""
