"""The tools that deploys are compared with, and this one: each with the smallest project that it can deploy."""
