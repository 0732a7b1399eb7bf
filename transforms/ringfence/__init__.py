"""The ring-fence allocator: from a population and a demand book to units for test cases, with proof and reasons."""
