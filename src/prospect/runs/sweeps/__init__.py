"""Many runs from one command line: the jobs of a sweep, where they are launched, and how a sweep ends and goes on."""
