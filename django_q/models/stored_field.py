"""The field of arguments and results: signed text in the column, Python values outside."""

from typing import Any

from django.db.models.query_utils import DeferredAttribute
from picklefield.fields import PickledObjectField, _ObjectWrapper

from django_q.exceptions import UnreadableValue
from django_q.stored import is_signed, open_value, seal_value, value_or_error


class _StoredAttribute(DeferredAttribute):
    """Raises where the value is asked for, so that a row with a bad one can be loaded."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if isinstance(value, UnreadableValue):
            raise UnreadableValue(f"{self.field.name} of [{instance.pk}]: {value}")
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        # Defined so that Python asks `__get__` although the value is in the instance's dict.
        instance.__dict__[self.field.attname] = value


class StoredField(PickledObjectField):  # type: ignore[misc]
    """Takes any value that can be pickled, or the JSON that the settings want; see `stored`.

    A value that cannot be read is an UnreadableValue: an instance raises it at the attribute, and
    `values` and `values_list` have it in the value's place.
    """

    descriptor_class = _StoredAttribute

    def deconstruct(self) -> Any:
        """Give what migrations know it as: the column is the same, so there is nothing to alter."""
        name, _, args, kwargs = super().deconstruct()
        return name, "picklefield.fields.PickledObjectField", args, kwargs

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Open what stands in the column."""
        return _unwrapped(value_or_error(value))

    def to_python(self, value: Any) -> Any:
        """Open the text of a fixture; any other value stays. Raises UnreadableValue."""
        if not isinstance(value, str):
            return value
        try:
            return _unwrapped(open_value(value))
        except UnreadableValue:
            if is_signed(value):
                raise
            return value

    def get_db_prep_value(self, value: Any, connection: Any = None, prepared: bool = False) -> Any:
        """Give the text for the column."""
        return seal_value(_unwrapped(value))


def _unwrapped(value: Any) -> Any:
    """Take off what the base class puts round models and callables for the sake of the ORM."""
    return value._obj if isinstance(value, _ObjectWrapper) else value
