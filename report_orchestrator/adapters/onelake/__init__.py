"""Results in Microsoft Fabric OneLake.

store         the `ResultStore`: write, read, sweep
folder        another system's files, read only
files         single file operations, with lost responses resolved
connection    credentials for Entra and the SDK's client
appends       upload in equal pieces, a few at a time
address       settings to paths and URLs
tables        address and credentials of a Delta table
errors        the SDK's errors as typed errors; `bodies` reads the codes in responses
probe         the doctor's check of store and token
"""
