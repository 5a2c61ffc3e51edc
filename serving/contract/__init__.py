"""What a caller sends and gets: requests, rewards, and the bytes they travel as."""
