import json
import traceback

import pytest

from cvm_pipeline.config.errors import ConfigurationError
from cvm_pipeline.config.load import load_project

SOURCES = "sources:\n  - entity: orders\n    path: o.csv\n    columns: {ordered_at: a, amount: b}\n"
ALERTS = """\
engine:
  alerts:
    webhook: https://hooks.example.com/${CVM_TOKEN}
    email: {smtp_host: mail, from: a@b.c, to: [d@e.f], user: "${CVM_USER}", password: "${CVM_PASSWORD}"}
"""
SECRETS = {"CVM_TOKEN": "t0ken-s3cret", "CVM_USER": "us3r-s3cret", "CVM_PASSWORD": "p4ss-s3cret"}


def _load(tmp_path, text, environ):
    (tmp_path / "cvm.yml").write_text(SOURCES + text)
    return load_project(tmp_path / "cvm.yml", environ)


def _told(tmp_path, text, environ):
    with pytest.raises(ConfigurationError) as caught:
        _load(tmp_path, text, environ)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value)
    return caught.value.mistakes, told


def test_a_secret_is_read_from_the_environment(tmp_path):
    alerts = _load(tmp_path, ALERTS, SECRETS).engine.alerts
    assert alerts.webhook.get_secret_value() == "https://hooks.example.com/t0ken-s3cret"
    assert alerts.email.user.get_secret_value() == "us3r-s3cret"
    assert alerts.email.password.get_secret_value() == "p4ss-s3cret"


def test_a_secret_is_in_no_text_of_the_project(tmp_path):
    project = _load(tmp_path, ALERTS, SECRETS)
    texts = [
        repr(project),
        str(project),
        f"{project.engine.alerts}",
        project.model_dump_json(),
        str(project.model_dump()),
    ]
    texts.append(json.dumps(project.model_dump(mode="json")))
    assert not [text for text in texts if "s3cret" in text]


def test_a_secret_has_no_part_in_the_hash(tmp_path):
    other = dict(SECRETS, CVM_TOKEN="another")
    assert _load(tmp_path, ALERTS, SECRETS).config_hash == _load(tmp_path, ALERTS, other).config_hash


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named_with_its_line(tmp_path, value):
    environ = {name: secret for name, secret in SECRETS.items() if name != "CVM_TOKEN"}
    if value is not None:
        environ["CVM_TOKEN"] = value
    (found,), told = _told(tmp_path, ALERTS, environ)
    assert (found.line, found.where) == (7, "engine.alerts.webhook")
    assert "CVM_TOKEN is not set" in found.what
    assert "s3cret" not in told


@pytest.mark.parametrize(
    "literal",
    [
        "engine: {alerts: {webhook: https://hooks.example.com/s3cret}}",
        "engine: {alerts: {email: {smtp_host: m, from: a@b.c, to: d@e.f, user: u, password: s3cret}}}",
        "engine: {alerts: https://hooks.example.com/s3cret}",
        "engine: {alerts: {email: s3cret}}",
        "engine: {alerts: {email: {smtp_host: m, from: s3cret, to: d@e.f}}}",
        "engine: {alerts: {email: {smtp_host: m, port: s3cret, from: a@b.c, to: d@e.f}}}",
    ],
)
def test_a_secret_that_stands_in_the_file_is_refused_and_not_repeated(tmp_path, literal):
    (found,), told = _told(tmp_path, literal, SECRETS)
    assert found.line == 5
    assert "s3cret" not in told


def test_a_web_address_from_the_environment_is_judged_without_being_shown(tmp_path):
    (found,), told = _told(tmp_path, "engine: {alerts: {webhook: '${CVM_TOKEN}'}}", SECRETS)
    assert "no web address" in found.what
    assert "s3cret" not in told


def test_a_name_of_a_user_may_stand_in_the_file(tmp_path):
    email = "{smtp_host: m, from: a@b.c, to: d@e.f, user: shop, password: '${CVM_PASSWORD}'}"
    project = _load(tmp_path, f"engine: {{alerts: {{email: {email}}}}}", SECRETS)
    assert project.engine.alerts.email.user.get_secret_value() == "shop"


def test_what_needs_no_secret_reads_a_project_whose_variables_are_not_set(tmp_path):
    text = ALERTS + 'publish: {target: postgres, dsn: "${CVM_WAREHOUSE_DSN}"}\n'
    (tmp_path / "cvm.yml").write_text(SOURCES + text)
    project = load_project(tmp_path / "cvm.yml", {}, secrets=False)
    assert project.publish.target == "postgres"
    assert len(_told(tmp_path, text, {})[0]) == 4, "any other command misses each"
    with pytest.raises(ConfigurationError, match="is no address of a PostgreSQL database"):
        load_project(tmp_path / "cvm.yml", {"CVM_WAREHOUSE_DSN": "nowhere"}, secrets=False)
