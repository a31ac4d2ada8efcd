"""The API behind the gateway: all resources, on the same data."""

from cc_async.sandbox.data import Data
from cc_async.sandbox.jobs import Jobs
from cc_async.sandbox.requests import Call, Routes
from cc_async.sandbox.responses import Refused, Response
from cc_async.sandbox.settings import Settings

from .account import Account
from .activities import Activities
from .contacts import Contacts
from .custom_fields import CustomFields
from .lists import Lists
from .segments import Segments
from .tags import Tags


class Api:
    """Responds to calls; synchronous, so that calls never interleave."""

    def __init__(self, settings: Settings) -> None:
        data = Data(settings)
        self.jobs = Jobs(data)
        contacts = Contacts(data)
        nouns = (
            contacts,
            Lists(data, self.jobs),
            Tags(data, self.jobs),
            CustomFields(data),
            Segments(data),
            Account(data),
            Activities(data, self.jobs, contacts),
        )
        self.store = contacts.store
        self.routes: Routes = [route for noun in nouns for route in noun.routes]
        data.contacts.fill(settings.contacts)  # last, as members of the lists and tags made above

    def respond(self, call: Call) -> Response:
        """Respond to a call that the gateway has admitted."""
        try:
            return call.handler(call)
        except Refused as refusal:
            return refusal.response
