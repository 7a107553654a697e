"""Emails in the mail sink can be read by people and by programs."""

from pathlib import Path

from lambda_toolkit.pipeline.local_stack.alerting import mail_sink

TOPIC = "arn:aws:sns:eu-west-2:000000000000:alerts"


def test_delivered_email_is_a_readable_file_in_the_index(tmp_path: Path) -> None:
    path = mail_sink.deliver(
        tmp_path, recipient="people@example.com", subject='ALARM: "a/b"\nin Leeds', body='{"New": "ALARM"}', topic=TOPIC
    )

    (email,) = mail_sink.read(tmp_path)
    assert email.path == path
    assert path.name == "0001-ALARM-a-b-in-Leeds.txt"
    assert path.read_text(encoding="utf-8").startswith('To: people@example.com\nSubject: ALARM: "a/b" in Leeds\nDate: ')
    assert (email.recipient, email.subject, email.topic) == ("people@example.com", 'ALARM: "a/b" in Leeds', TOPIC)
    assert email.body == '{\n  "New": "ALARM"\n}'
    assert email.received_at.endswith("+00:00")


def test_emails_are_read_in_the_order_of_arrival(tmp_path: Path) -> None:
    for body in ("first", "second\n\nwith two paragraphs"):
        mail_sink.deliver(tmp_path / "new", recipient="people@example.com", subject="", body=body, topic=TOPIC)

    assert [email.body for email in mail_sink.read(tmp_path / "new")] == ["first", "second\n\nwith two paragraphs"]
    assert mail_sink.read(tmp_path / "new")[0].subject == "AWS Notification Message"


def test_mail_sink_without_messages_is_empty(tmp_path: Path) -> None:
    assert mail_sink.read(tmp_path / "nowhere") == ()
