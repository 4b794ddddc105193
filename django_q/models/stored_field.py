"""The field of arguments and results: signed text in the column, Python values outside."""

import sys
import types
from typing import Any

from django.db.models.query_utils import DeferredAttribute
from picklefield.fields import PickledObject, PickledObjectField, _ObjectWrapper

from django_q.exceptions import UnreadableValue
from django_q.stored import is_stored, open_value, seal_value, value_or_error

#: Functions of Django that take values from an instance to carry them on, and look at none. They
#: are given the error, in which the text is; there is nothing else by which they could be known.
_CARRIERS = frozenset(
    (
        ("django.core.serializers.xml_serializer", "handle_field"),
        ("django.db.models.base", "clean_fields"),
        ("django.db.models.base", "refresh_from_db"),
        ("django.db.models.query", "bulk_update"),
    )
)


class _StoredAttribute(DeferredAttribute):
    """Raises where the value is asked for, so that a row with a bad one can be loaded."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if isinstance(value, UnreadableValue) and not _carries(sys._getframe(1)):
            raise UnreadableValue(f"{self.field.name} of [{instance.pk}]: {value}")
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        # Defined so that Python asks `__get__` although the value is in the instance's dict.
        instance.__dict__[self.field.attname] = value


class StoredField(PickledObjectField):  # type: ignore[misc]
    """Takes any value that can be pickled, or the JSON that the settings want; see `stored`.

    A value that cannot be read is an UnreadableValue: an instance raises it at the attribute, and
    `values` and `values_list` have it in the value's place. Its text stays what it is when the row
    is checked and saved, alone or with others, or dumped and loaded.
    """

    descriptor_class = _StoredAttribute

    def deconstruct(self) -> Any:
        """Give what migrations know it as: the column is the same, so there is nothing to alter."""
        name, _, args, kwargs = super().deconstruct()
        return name, "picklefield.fields.PickledObjectField", args, kwargs

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Open what stands in the column."""
        found = _unwrapped(value_or_error(value))
        if isinstance(found, UnreadableValue):
            found.text = value
        return found

    def to_python(self, value: Any) -> Any:
        """Open the text of a fixture; any other value stays, and so does what cannot be read."""
        if not isinstance(value, str):
            return value
        try:
            return _unwrapped(open_value(value))
        except UnreadableValue:
            return PickledObject(value) if is_stored(value) else value

    def value_from_object(self, obj: Any) -> Any:
        """Give the value, or the UnreadableValue in its place: a dump goes on behind it."""
        try:
            return super().value_from_object(obj)
        except UnreadableValue:
            return obj.__dict__[self.attname]

    def value_to_string(self, obj: Any) -> Any:
        """Give the text for a fixture."""
        return self.get_db_prep_value(self.pre_save(obj, add=False))

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        """Give the value to be saved, or the UnreadableValue in its place."""
        value = self.value_from_object(model_instance)
        if isinstance(value, UnreadableValue):
            return value
        return super().pre_save(model_instance, add)

    def get_db_prep_value(self, value: Any, connection: Any = None, prepared: bool = False) -> Any:
        """Give the text for the column; a PickledObject, the base class's word, is such a text.

        Raises UnreadableValue for one that nobody has read from a column.
        """
        if isinstance(value, PickledObject):
            return str(value)
        if isinstance(value, UnreadableValue):
            if value.text is None:
                raise value
            return value.text
        return seal_value(_unwrapped(value))


def _carries(caller: types.FrameType) -> bool:
    return (caller.f_globals.get("__name__"), caller.f_code.co_name) in _CARRIERS


def _unwrapped(value: Any) -> Any:
    """Take off what the base class puts round models and callables for the sake of the ORM."""
    return value._obj if isinstance(value, _ObjectWrapper) else value
