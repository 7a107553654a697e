"""From the arguments of ``Lambda_script`` to a ``FunctionSpec``: their types, and every problem with them."""
