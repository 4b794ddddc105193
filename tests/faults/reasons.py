"""Why a scenario does not hold on a broker, and what would mend it; written by hand."""

#: Scenario and broker -> sentences that stand behind its figures in the docs.
REASONS: dict[tuple[str, str], str] = {}
