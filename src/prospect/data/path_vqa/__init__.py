"""Questions about slides under a microscope, with the set of right answers: from the hub, from files, or drawn."""
