"""The peers' own programs, as one writes them by hand; each has its command in bench/."""
