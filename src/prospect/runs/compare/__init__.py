"""Run folders side by side: folders → entries → groups over seeds → statistics → table, page, files."""
