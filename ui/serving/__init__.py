"""What the page needs to serve many visitors: devices, models, turns, stopping, and visitors' own files."""
