"""What is declared, as plain values, with what AWS allows. Pure."""
