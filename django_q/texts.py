"""Our texts in the reader's language, apart from those of Django and of the site.

To Django all catalogues of a site are one: a short text ("None", "Next") would be translated by
whoever translates it first, here as they mean it, and on their pages as we do. So all of ours have
a context.
"""

from functools import partial

from django.utils.translation import npgettext, pgettext, pgettext_lazy

#: The context of all texts in our catalogues.
CONTEXT = "Django Q"

gettext = partial(pgettext, CONTEXT)
gettext_lazy = partial(pgettext_lazy, CONTEXT)
ngettext = partial(npgettext, CONTEXT)
