"""What invokes a function: for each kind its declaration, the forms that it takes, and what AWS would reject."""
