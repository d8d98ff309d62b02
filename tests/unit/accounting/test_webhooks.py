import base64
import hashlib
import hmac

import orjson
from parley_services.accounting.limits.alerts import Alert, AlertKind
from parley_services.accounting.subjects import SUITE
from parley_services.accounting.workers.change_notifier import ChangeNotifier
from parley_services.accounting.workers.webhooks import Webhook

from tests.support.clock import ManualClock


def alert(number):
    return Alert(
        alert_number=number,
        kind=AlertKind.BUDGET_WARNING,
        key=SUITE,
        message="m",
        used_nano_usd=80,
        limit_nano_usd=100,
        create_time_us=0,
    )


class Outbox:
    """Alerts in memory and how far the one URL has got."""

    def __init__(self, *alerts, position=0):
        self.alerts = alerts
        self.position = position

    async def after(self, number, *, limit):
        return [each for each in self.alerts if each.alert_number > number][:limit]

    async def delivered(self, url):
        return self.position

    async def note_delivered(self, url, number):
        self.position = number


class Receiver:
    """Takes a post when its script says so."""

    def __init__(self, *takes):
        self.takes = list(takes)
        self.posts = []

    async def __call__(self, url, body, headers):
        self.posts.append((body, headers))
        return self.takes.pop(0) if self.takes else True


def webhook(outbox, receiver, pauses):
    async def sleep(seconds):
        pauses.append(seconds)

    return Webhook(
        "http://127.0.0.1/hook",
        secret="s3cret",
        deliveries=outbox,
        post=receiver,
        notifier=ChangeNotifier(),
        clock=ManualClock(),
        poll_interval_seconds=1,
        sleep=sleep,
    )


async def test_each_alert_is_posted_in_order_until_it_is_taken():
    outbox, receiver, pauses = Outbox(alert(1), alert(2)), Receiver(False, False, True), []
    await webhook(outbox, receiver, pauses).deliver_waiting()
    ids = [headers["webhook-id"] for _, headers in receiver.posts]
    assert ids == ["alert_1", "alert_1", "alert_1", "alert_2"]
    assert (pauses, outbox.position) == ([1.0, 2.0], 2)


async def test_after_a_restart_it_goes_on_behind_what_was_taken():
    receiver = Receiver()
    await webhook(Outbox(alert(1), alert(2), position=1), receiver, []).deliver_waiting()
    assert [headers["webhook-id"] for _, headers in receiver.posts] == ["alert_2"]


async def test_the_signature_is_that_of_standard_webhooks():
    receiver = Receiver()
    await webhook(Outbox(alert(1)), receiver, []).deliver_waiting()
    ((body, headers),) = receiver.posts
    signed = f"alert_1.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"s3cret", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert orjson.loads(body)["type"] == "alert.budget_warning"
