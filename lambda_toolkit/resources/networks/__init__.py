"""The network of a function: its subnets and security groups, its interfaces, and the ways out of a subnet."""
