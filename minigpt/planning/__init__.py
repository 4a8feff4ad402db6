"""What a model takes before it exists: parameters, operations, memory and time, on one device or several."""
