"""botocore's models are found as botocore finds them, and only those are looked for that a client is made for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import Loader

from lambda_toolkit.aws import Aws, service_models


@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "paginators-1", "waiters-2"])
@pytest.mark.parametrize("service", ["lambda", "s3", "scheduler"])
def test_models_are_those_of_botocore(service: str, kind: str) -> None:
    loader = service_models.loader(None)
    try:
        expected = Loader().load_service_model(service, kind)
    except DataNotFoundError:
        with pytest.raises(DataNotFoundError):
            loader.load_service_model(service, kind)
    else:
        assert loader.load_service_model(service, kind) == expected


def test_service_that_does_not_exist_is_unknown() -> None:
    loader = service_models.loader(None)
    loader.load_service_model("sqs", "service-2")
    with pytest.raises(UnknownServiceError, match="nosuch"):
        loader.load_service_model("nosuch", "service-2")
    assert loader.list_available_services("service-2") == ["sqs"]
    assert loader.list_available_services("nosuch-1") == []


def test_models_of_a_data_path_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_DATA_PATH names folders with further models, and with other versions of known ones."""
    model = {"metadata": {"serviceId": "ours"}, "operations": {}, "shapes": {}}
    monkeypatch.setenv("MODELS", str(tmp_path))
    for folder in (tmp_path / "ours" / "2026-01-01", tmp_path / "sqs" / "2099-01-01"):
        folder.mkdir(parents=True)
        (folder / "service-2.json").write_text(json.dumps(model), encoding="utf-8")
    loader = service_models.loader(os.pathsep.join(["/nowhere", "$MODELS"]))
    assert loader.load_service_model("ours", "service-2") == model
    assert loader.load_service_model("sqs", "service-2") == model


def test_clients_of_the_toolkit_look_for_their_models_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[service_models.ServiceModels] = []
    loader = service_models.loader
    monkeypatch.setattr(service_models, "loader", lambda path: made.append(loader(path)) or made[0])
    aws = Aws(region="eu-west-2")
    assert aws.client("lambda").can_paginate("list_functions")
    assert aws.client("logs").meta.service_model.service_name == "logs"
    assert [each.list_available_services("service-2") for each in made] == [["lambda", "logs"]]
