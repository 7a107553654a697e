"""A music shop: names with capitals, self-references, dimensions of dimensions, lines with composite keys."""

from __future__ import annotations

from tests.pipeline.shapes.shape import MAYBE_TEXTS, TEXTS, Shape, SourceTable, Waiting, numbers

_CASCADE = "ON UPDATE CASCADE ON DELETE CASCADE"
_NULL = "ON UPDATE CASCADE ON DELETE SET NULL"
DDL = f"""
CREATE TABLE "Artist" ("ArtistId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Album" ("AlbumId" int PRIMARY KEY, "Title" varchar(160) NOT NULL,
    "ArtistId" int NOT NULL REFERENCES "Artist" {_CASCADE});
CREATE TABLE "Track" ("TrackId" int PRIMARY KEY, "Name" varchar(200) NOT NULL,
    "AlbumId" int REFERENCES "Album" {_NULL}, "Genre" text, "Milliseconds" int NOT NULL, "UnitPrice" numeric(10,2));
CREATE TABLE "Genre" ("Code" text PRIMARY KEY, "Parent" text REFERENCES "Genre" {_NULL}, "Name" text NOT NULL);
CREATE TABLE "Employee" ("EmployeeId" int PRIMARY KEY, "LastName" varchar(40) NOT NULL, "FirstName" varchar(40),
    "ReportsTo" int, "HireDate" timestamp);
CREATE TABLE "Customer" ("CustomerId" int PRIMARY KEY, "Name" varchar(40), "SupportRepId" int);
CREATE TABLE "Invoice" ("InvoiceId" int PRIMARY KEY, "CustomerId" int REFERENCES "Customer" {_NULL},
    "InvoiceDate" timestamp NOT NULL, "Country" text);
CREATE TABLE "InvoiceLine" ("InvoiceId" int REFERENCES "Invoice" {_CASCADE}, "LineNo" smallint,
    "TrackId" int REFERENCES "Track" {_NULL}, "UnitPrice" numeric(10,2) NOT NULL, "Quantity" int NOT NULL,
    PRIMARY KEY ("InvoiceId", "LineNo"));
CREATE TABLE "Return" ("ReturnId" int PRIMARY KEY, "Invoice" bigint, "Line" int, "Reason" text);
CREATE TABLE "Playlist" ("PlaylistId" int PRIMARY KEY, "Name" text);
CREATE TABLE "PlaylistTrack" ("PlaylistId" int REFERENCES "Playlist" {_CASCADE},
    "TrackId" int REFERENCES "Track" {_CASCADE}, PRIMARY KEY ("PlaylistId", "TrackId"));
"""
_TIMES = (
    "'2021-01-01'",
    "'2021-12-31 23:59:59.5'",
    "'0001-01-01'",
    "'9999-12-31 23:59:59.999999'",
    "'2024-02-29 1:00'",
)
TABLES = (
    SourceTable('"Artist"', ('"ArtistId"',), {'"ArtistId"': numbers(8), '"Name"': MAYBE_TEXTS}, 10),
    SourceTable('"Album"', ('"AlbumId"',), {'"AlbumId"': numbers(12), '"Title"': TEXTS, '"ArtistId"': numbers(8)}, 16),
    SourceTable(
        '"Track"',
        ('"TrackId"',),
        {
            '"TrackId"': numbers(25),
            '"Name"': TEXTS,
            '"AlbumId"': numbers(12, "NULL"),
            '"Genre"': ("'Rock'", "'Jazz'", "'rock '", "NULL"),
            '"Milliseconds"': ("1", "59999", "60000", "2147483647"),
            '"UnitPrice"': ("0.99", "1.5", "NULL"),
        },
        40,
    ),
    SourceTable(
        '"Genre"',
        ('"Code"',),
        {'"Code"': TEXTS[:9], '"Parent"': (*TEXTS[:9], "NULL", "NULL"), '"Name"': TEXTS},
        15,
    ),
    # References that no constraint checks: to rows that are missing, to itself, in circles.
    SourceTable(
        '"Employee"',
        ('"EmployeeId"',),
        {
            '"EmployeeId"': numbers(9),
            '"LastName"': TEXTS,
            '"FirstName"': MAYBE_TEXTS,
            '"ReportsTo"': numbers(11, "NULL"),
            '"HireDate"': (*_TIMES, "NULL"),
        },
        14,
    ),
    SourceTable(
        '"Customer"',
        ('"CustomerId"',),
        {'"CustomerId"': numbers(12), '"Name"': MAYBE_TEXTS, '"SupportRepId"': numbers(11, "NULL")},
        16,
    ),
    SourceTable(
        '"Invoice"',
        ('"InvoiceId"',),
        {
            '"InvoiceId"': numbers(20),
            '"CustomerId"': numbers(12, "NULL"),
            '"InvoiceDate"': _TIMES,
            '"Country"': MAYBE_TEXTS,
        },
        30,
    ),
    SourceTable(
        '"InvoiceLine"',
        ('"InvoiceId"', '"LineNo"'),
        {
            '"InvoiceId"': numbers(20),
            '"LineNo"': numbers(4),
            '"TrackId"': numbers(25, "NULL"),
            '"UnitPrice"': ("0.99", "1.50", "0"),
            '"Quantity"': ("1", "2", "7", "0"),
        },
        60,
    ),
    SourceTable(
        '"Return"',
        ('"ReturnId"',),
        {
            '"ReturnId"': numbers(15),
            '"Invoice"': numbers(20, "NULL", str(2**40)),
            '"Line"': numbers(4, "NULL", "70000"),
            '"Reason"': MAYBE_TEXTS,
        },
        20,
    ),
    SourceTable('"Playlist"', ('"PlaylistId"',), {'"PlaylistId"': numbers(4), '"Name"': MAYBE_TEXTS}, 5),
    SourceTable(
        '"PlaylistTrack"',
        ('"PlaylistId"', '"TrackId"'),
        {'"PlaylistId"': numbers(4), '"TrackId"': numbers(25)},
        40,
    ),
)
CONFIG = """
source.Artist.key = "ArtistId"
source.Album.key = "AlbumId"
source.Track.key = "TrackId"
source.Employee.key = "EmployeeId"
source.Genre.key = "Code"
source.Customer.key = "CustomerId"
source.Invoice.key = "InvoiceId"
source.Line = { key = ["InvoiceId", "LineNo"], table = "InvoiceLine" }
source.Return.key = "ReturnId"
source.PlaylistTrack.key = ["PlaylistId", "TrackId"]
source.Playlist.key = "PlaylistId"

[warehouse.dim_artist]
kind = "dimension"
from = "Artist"
key = "artist_id"
columns = { artist_id = "ArtistId", name = "Name" }

[warehouse.dim_album]
kind = "dimension"
from = "Album"
key = "album_id"
join = { Artist = "ArtistId" }
columns.album_id = "AlbumId"
columns.title = "Title"
columns.artist_id = "ArtistId"
columns.label = "\\"Artist\\".\\"Name\\" || ': ' || \\"Title\\""

[warehouse.dim_track]
kind = "dimension"
from = "Track"
key = "track_id"
join = { Album = "AlbumId", Artist = { on = "ArtistId", from = "Album" } }
where = "\\"Genre\\" = 'Rock' OR \\"Artist\\".\\"Name\\" IS NOT NULL"
columns.track_id = "TrackId"
columns.name = "Name"
columns.album_id = "AlbumId"
columns.artist = "Artist.Name"
columns.minutes = 'round("Milliseconds" / 60000.0, 1)'

[warehouse.dim_genre]
kind = "dimension"
from = "Genre"
key = "code"
join = { Genre = "Parent" }
columns = { code = "Code", parent = "Parent", name = "Name", label = "coalesce(\\"Genre\\".\\"Name\\", '-')" }

[warehouse.dim_employee]
kind = "dimension"
history = true
record = "employee_key"
from = "Employee"
key = "employee_id"
join.manager = { table = "Employee", on = "ReportsTo" }
join.head = { table = "Employee", on = "ReportsTo", from = "manager" }
where = '"EmployeeId" IS DISTINCT FROM "ReportsTo"'
columns.employee_id = "EmployeeId"
columns.name = "\\"LastName\\" || coalesce(', ' || \\"FirstName\\", '')"
columns.manager = "manager.LastName"
columns.rank = 'CASE WHEN manager."EmployeeId" IS NULL THEN 1 WHEN head."EmployeeId" IS NULL THEN 2 ELSE 3 END'
columns.head_hired = "head.HireDate"

[warehouse.fact_invoice]
kind = "fact"
from = "Invoice"
key = "invoice_id"
record = "invoice_record"
join.Customer = "CustomerId"
join.agent = { table = "Employee", on = "SupportRepId", from = "Customer" }
join.manager = { table = "Employee", on = "ReportsTo", from = "agent" }
columns.invoice_id = "InvoiceId"
columns.invoiced = "InvoiceDate"
columns.country = "Country"
columns.agent_id = "agent.EmployeeId"
columns.manager = "manager.LastName"

[warehouse.fact_line]
kind = "fact"
from = "Line"
key = ["invoice_id", "line_no"]
record = "line_record"
join.Invoice = "InvoiceId"
columns.invoice_id = "InvoiceId"
columns.line_no = "LineNo"
columns.track_id = "TrackId"
columns.amount = '("UnitPrice" * "Quantity")::numeric(12,2)'
columns.customer_id = "Invoice.CustomerId"

[warehouse.fact_return]
kind = "fact"
from = "Return"
key = "return_id"
record = "return_record"
join.Track = { table = "Line", on = ["Invoice", "Line"] }
join.Album = { table = "Track", on = "TrackId", from = "Track" }
join.Line = { table = "Album", on = "AlbumId", from = "Album" }
columns.return_id = "ReturnId"
columns.line_no = "Track.LineNo"
columns.quantity = "Track.Quantity"
columns.album = "Line.Title"
columns.reason = "coalesce(nullif(trim(\\"Reason\\"), ''), 'none')"

[warehouse.bridge_playlist]
kind = "dimension"
from = "PlaylistTrack"
key = ["playlist_id", "track_id"]
join = { Playlist = "PlaylistId" }
columns = { playlist_id = "PlaylistId", track_id = "TrackId", playlist = "Playlist.Name" }
"""
WAREHOUSE = """
CREATE TABLE dim_artist (artist_id int PRIMARY KEY, name varchar(120));
CREATE TABLE dim_album (album_id int PRIMARY KEY, title varchar(160) NOT NULL, label text,
    artist_id int NOT NULL REFERENCES dim_artist);
CREATE TABLE dim_track (track_id int PRIMARY KEY, name text NOT NULL, album_id int REFERENCES dim_album, artist text,
    minutes numeric(8,1) NOT NULL);
CREATE TABLE dim_genre (code text PRIMARY KEY, parent text REFERENCES dim_genre, name text NOT NULL,
    label text NOT NULL);
CREATE TABLE dim_employee (employee_key bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, employee_id int NOT NULL,
    name text NOT NULL, manager text, rank smallint NOT NULL, head_hired timestamp,
    valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL);
CREATE TABLE fact_invoice (invoice_record bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, invoice_id int NOT NULL,
    invoiced timestamp NOT NULL, country text, agent_id int, manager text);
CREATE TABLE fact_line (line_record bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, invoice_id int NOT NULL,
    line_no smallint NOT NULL, track_id int REFERENCES dim_track, amount numeric(12,2) NOT NULL, customer_id int);
CREATE TABLE fact_return (return_record bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, return_id int NOT NULL,
    line_no int, quantity int, album text, reason text NOT NULL);
CREATE TABLE bridge_playlist (playlist_id int, track_id int, playlist text, PRIMARY KEY (playlist_id, track_id));
"""
ORACLE = {
    "dim_artist": 'SELECT "ArtistId" AS artist_id, "Name" AS name FROM "Artist"',
    "dim_album": """
        SELECT "AlbumId" AS album_id, "Title" AS title, "ArtistId" AS artist_id, "Name" || ': ' || "Title" AS label
        FROM "Album" JOIN "Artist" USING ("ArtistId")
    """,
    "dim_track": """
        SELECT "TrackId" AS track_id, t."Name" AS name, "AlbumId" AS album_id, a."Name" AS artist,
            round("Milliseconds" / 60000.0, 1)::numeric(8,1) AS minutes
        FROM "Track" AS t LEFT JOIN "Album" USING ("AlbumId") LEFT JOIN "Artist" AS a USING ("ArtistId")
        WHERE "Genre" = 'Rock' OR a."Name" IS NOT NULL
    """,
    "dim_genre": """
        SELECT g."Code" AS code, g."Parent" AS parent, g."Name" AS name, coalesce(p."Name", '-') AS label
        FROM "Genre" AS g LEFT JOIN "Genre" AS p ON p."Code" = g."Parent"
    """,
    "dim_employee": """
        SELECT e."EmployeeId" AS employee_id, concat_ws(', ', e."LastName", e."FirstName") AS name,
            m."LastName" AS manager, 1 + (m."EmployeeId" IS NOT NULL)::int + (h."EmployeeId" IS NOT NULL)::int AS rank,
            h."HireDate" AS head_hired
        FROM "Employee" AS e LEFT JOIN "Employee" AS m ON m."EmployeeId" = e."ReportsTo"
            LEFT JOIN "Employee" AS h ON h."EmployeeId" = m."ReportsTo"
        WHERE e."ReportsTo" IS NULL OR e."ReportsTo" <> e."EmployeeId"
    """,
    "fact_invoice": """
        SELECT "InvoiceId" AS invoice_id, "InvoiceDate" AS invoiced, "Country" AS country,
            a."EmployeeId" AS agent_id, m."LastName" AS manager
        FROM "Invoice" LEFT JOIN "Customer" USING ("CustomerId")
            LEFT JOIN "Employee" AS a ON a."EmployeeId" = "SupportRepId"
            LEFT JOIN "Employee" AS m ON m."EmployeeId" = a."ReportsTo"
    """,
    "fact_line": """
        SELECT "InvoiceId" AS invoice_id, "LineNo" AS line_no, "TrackId" AS track_id,
            ("UnitPrice" * "Quantity")::numeric(12,2) AS amount, "CustomerId" AS customer_id
        FROM "InvoiceLine" JOIN "Invoice" USING ("InvoiceId")
    """,
    "fact_return": """
        SELECT "ReturnId" AS return_id, "LineNo" AS line_no, "Quantity" AS quantity, "Title" AS album,
            CASE WHEN trim("Reason") <> '' THEN trim("Reason") ELSE 'none' END AS reason
        FROM "Return" LEFT JOIN "InvoiceLine" ON "InvoiceId" = "Invoice" AND "LineNo" = "Line"
            LEFT JOIN "Track" USING ("TrackId") LEFT JOIN "Album" USING ("AlbumId")
    """,
    "bridge_playlist": """
        SELECT "PlaylistId" AS playlist_id, "TrackId" AS track_id, "Name" AS playlist
        FROM "PlaylistTrack" JOIN "Playlist" USING ("PlaylistId")
    """,
}
# A line may name a track that the filter of its dimension leaves out: it waits until that track has matched once.
MUSIC = Shape("music shop", DDL, TABLES, CONFIG, WAREHOUSE, ORACLE, {"fact_line": Waiting(("track_id",), "dim_track")})
