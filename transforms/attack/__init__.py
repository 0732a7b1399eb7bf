"""What an intruder does with a release: facts out of rows, pairs and their weights, claims, and how sure a rate is."""
