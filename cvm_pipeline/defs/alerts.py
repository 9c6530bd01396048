"""Alerts on failure, by webhook or e-mail where configured. An alert that can't be sent is logged, never the end of a run."""

from __future__ import annotations

import http.client
import json
import smtplib
import urllib.request
from email.message import EmailMessage

from cvm_pipeline.config.project import Project

_TIMEOUT_SECONDS = 10


def send_alert(project: Project, subject: str, message: str, run_id: str) -> str:
    """Send to every configured place; returns what could not be sent, empty where all was."""
    failed = []
    alerts = project.engine.alerts
    if alerts.webhook is not None:
        # `text` is what chat webhooks show; the other keys are for programs.
        body = {"text": f"{subject}\n{message}", "project": project.project, "run_id": run_id}
        try:
            _post(alerts.webhook.get_secret_value(), body)
        except (http.client.HTTPException, OSError, ValueError) as error:
            failed.append(f"the alert's webhook did not take it ({type(error).__name__})")
    if alerts.email is not None:
        try:
            _mail(project, subject, f"{message}\n\nRun {run_id}, home {project.home.root}")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            failed.append(f"the alert's e-mail could not be sent ({type(error).__name__})")
    return "; ".join(failed)


def _post(url: str, body: dict[str, str]) -> None:
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):
        pass


def _mail(project: Project, subject: str, text: str) -> None:
    email = project.engine.alerts.email
    if email is None:
        return
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, email.sender, ", ".join(email.to)
    message.set_content(text)
    with smtplib.SMTP(email.smtp_host, email.port, timeout=_TIMEOUT_SECONDS) as server:
        if email.user is not None and email.password is not None:
            server.starttls()
            server.login(_plain(email.user), _plain(email.password))
        server.send_message(message)


def _plain(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal()) if reveal is not None else str(value)
