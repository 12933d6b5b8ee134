"""A drawn world of toys that are put together: its rules, its pictures, its clips and what is said in them."""
