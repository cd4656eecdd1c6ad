from typing import Any

import msgspec
from django import forms

from contracts.inventory import Line
from shop.storefront.basket import MOST_PIECES

CARDS = [
    ("tok_approve", "Approved", "The bank says yes at once. The order is confirmed within a second or two."),
    ("tok_decline", "Declined", "The bank says no. The order is cancelled and the goods go back on the shelf."),
    ("tok_late", "Late", "The bank thinks it over and reports back some seconds later."),
    ("tok_duplicate", "Reported twice", "The bank reports the payment twice. It counts once."),
    ("tok_timeout", "Time-out", "The bank takes the money and its answer gets lost. We ask again and find out."),
    ("tok_timeout_never", "Silence", "The bank never answers. After a while the order expires and nothing is charged."),
]
"""Token, name and what it shows, for each test card of the payment sandbox."""

_QUANTITY_ERRORS = {
    "required": "Say how many pieces you want.",
    "invalid": "The quantity must be a whole number.",
    "min_value": "The quantity must be at least %(limit_value)s.",
    "max_value": "At most %(limit_value)s pieces of a product fit in an order.",
}


class SearchForm(forms.Form):
    q = forms.CharField(required=False, max_length=100)
    category = forms.CharField(required=False, max_length=100)
    after = forms.CharField(required=False, max_length=200, strip=False)


class AddForm(forms.Form):
    """So many more pieces of a product."""

    sku = forms.CharField(max_length=64, strip=False)
    quantity = forms.IntegerField(min_value=1, max_value=MOST_PIECES, error_messages=_QUANTITY_ERRORS)


class SetForm(AddForm):
    """So many pieces of a product; 0 takes it out."""

    quantity = forms.IntegerField(min_value=0, max_value=MOST_PIECES, error_messages=_QUANTITY_ERRORS)


class LabelledForm(forms.Form):
    """Labels without Django's colon."""

    def __init__(self, data: Any = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial, label_suffix="")


class SignInForm(LabelledForm):
    email = forms.EmailField(max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"}))
    password = forms.CharField(
        max_length=128, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )


class RegisterForm(LabelledForm):
    """What is allowed the users API decides; here only what a browser can already say."""

    name = forms.CharField(max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"}))
    password = forms.CharField(
        min_length=8,
        max_length=128,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 8 characters.",
    )
    address = forms.CharField(
        required=False,
        max_length=500,
        label="Delivery address",
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
    )


class CheckoutForm(LabelledForm):
    card = forms.ChoiceField(choices=[(token, name) for token, name, _ in CARDS])
    deliver_to = forms.CharField(
        required=False,
        max_length=500,
        label="Deliver to",
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
    )
    lines = forms.CharField(max_length=10_000, widget=forms.HiddenInput)
    key = forms.CharField(max_length=200, widget=forms.HiddenInput)

    def clean_lines(self) -> tuple[Line, ...]:
        try:
            return msgspec.json.decode(self.cleaned_data["lines"], type=tuple[Line, ...])
        except msgspec.MsgspecError as error:
            raise forms.ValidationError("cannot be read; go on from your basket.") from error

    def api_body(self) -> dict[str, Any]:
        """The body of POST /api/orders/; the key travels in a header."""
        return {name: self.cleaned_data[name] for name in ("lines", "card", "deliver_to")}


class PlacedForm(forms.Form):
    order = forms.UUIDField()
    key = forms.CharField(max_length=200)
