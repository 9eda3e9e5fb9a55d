"""What a user gives: pictures, folders, regions; asks nothing of a network but what it takes."""
