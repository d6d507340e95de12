"""Parts shared by all pages.

readonly            the base of our admin classes, its paginator and read-only fields
format, phrases     values, durations, times and error codes as text
links               addresses in the reader's AdminSite
definitions         the meaning of typical, late and failed, for all pages
filters, search     lookups that an index answers
due_filters         intervals of due times, to which charts lead
live                what the script that refreshes pages has to know
expected            expected ends and places in line, in words
charts, outcomes    SVG charts; colours and counts of outcomes
streaming           files for download, under WSGI and ASGI
masked_json         JSON without secrets
request_settings    effective settings, once for each request
"""
