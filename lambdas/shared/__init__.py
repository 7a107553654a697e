"""What two or more of the functions need; packaged into each."""
