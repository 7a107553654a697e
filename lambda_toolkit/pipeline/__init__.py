"""The pipeline that the toolkit deploys: its command line, configuration, warehouse schema and local stack."""
