CREATE TABLE "Artist" ("ArtistId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Album" ("AlbumId" int PRIMARY KEY, "Title" varchar(160) NOT NULL, "ArtistId" int NOT NULL REFERENCES
    "Artist");
CREATE TABLE "Genre" ("GenreId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "MediaType" ("MediaTypeId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Track" ("TrackId" int PRIMARY KEY, "Name" varchar(200) NOT NULL, "AlbumId" int REFERENCES "Album",
    "MediaTypeId" int NOT NULL REFERENCES "MediaType", "GenreId" int REFERENCES "Genre", "Milliseconds" int NOT
    NULL, "UnitPrice" numeric(10,2) NOT NULL);
CREATE TABLE "Playlist" ("PlaylistId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "PlaylistTrack" ("PlaylistId" int NOT NULL REFERENCES "Playlist", "TrackId" int NOT NULL REFERENCES
    "Track", PRIMARY KEY ("PlaylistId", "TrackId"));
CREATE TABLE "Employee" ("EmployeeId" int PRIMARY KEY, "LastName" varchar(20) NOT NULL, "ReportsTo" int REFERENCES
    "Employee", "BirthDate" timestamp, "HireDate" timestamp);
CREATE TABLE "Customer" ("CustomerId" int PRIMARY KEY, "FirstName" varchar(40) NOT NULL, "SupportRepId" int
    REFERENCES "Employee");
CREATE TABLE "Invoice" ("InvoiceId" int PRIMARY KEY, "CustomerId" int NOT NULL REFERENCES "Customer", "InvoiceDate"
    timestamp NOT NULL, "BillingCity" varchar(40), "Total" numeric(10,2) NOT NULL);
CREATE TABLE "InvoiceLine" ("InvoiceLineId" int PRIMARY KEY, "InvoiceId" int NOT NULL REFERENCES "Invoice",
    "TrackId" int NOT NULL REFERENCES "Track", "UnitPrice" numeric(10,2) NOT NULL, "Quantity" int NOT NULL);
INSERT INTO "Artist" SELECT n, 'Artist ' || n FROM generate_series(1, 5) AS n;
INSERT INTO "Album" SELECT n, 'Album ' || n, 1 + n % 5 FROM generate_series(1, 8) AS n;
INSERT INTO "Genre" SELECT n, NULLIF('Genre ' || n, 'Genre 2') FROM generate_series(1, 3) AS n;
INSERT INTO "MediaType" SELECT n, 'Media ' || n FROM generate_series(1, 2) AS n;
INSERT INTO "Track" SELECT n, 'Track ' || n, NULLIF(n % 9, 0), 1 + n % 2, NULLIF(n % 4, 0), n * 1000, 0.99
    FROM generate_series(1, 30) AS n;
INSERT INTO "Playlist" SELECT n, 'List ' || n FROM generate_series(1, 3) AS n;
INSERT INTO "PlaylistTrack" SELECT 1 + n % 3, n FROM generate_series(1, 30) AS n;
INSERT INTO "Employee" SELECT n, 'E' || n, NULLIF(n / 2, 0), '1960-05-05 10:00', NULL FROM generate_series(1, 6) AS n;
INSERT INTO "Customer" SELECT n, 'C' || n, 1 + n % 6 FROM generate_series(1, 10) AS n;
INSERT INTO "Invoice" SELECT n, 1 + n % 10, '2024-01-01'::timestamp + n * interval '17 hours', NULL, n
    FROM generate_series(1, 20) AS n;
INSERT INTO "InvoiceLine" SELECT n, 1 + n % 20, 1 + n % 30, 0.99, n % 3 FROM generate_series(1, 60) AS n;

-- day
UPDATE "Artist" SET "Name" = NULL WHERE "ArtistId" = 1; UPDATE "Album" SET "Title" = 'T' WHERE "AlbumId" = 2;
    UPDATE "Invoice" SET "CustomerId" = 1, "InvoiceDate" = '2024-06-06 23:59' WHERE "InvoiceId" = 5;
    DELETE FROM "PlaylistTrack" WHERE "TrackId" < 4; UPDATE "Employee" SET "ReportsTo" = 6 WHERE "EmployeeId" = 1;
    INSERT INTO "InvoiceLine" VALUES (99, 5, 1, 1.50, 2)
-- day
UPDATE "PlaylistTrack" SET "PlaylistId" = 1 + "PlaylistId" % 3 WHERE "TrackId" = 9;
    DELETE FROM "InvoiceLine" WHERE "InvoiceId" = 7; DELETE FROM "Invoice" WHERE "InvoiceId" = 7;
    UPDATE "Track" SET "GenreId" = NULL, "AlbumId" = 1 WHERE "TrackId" = 3;
    UPDATE "Customer" SET "CustomerId" = 77 WHERE "CustomerId" = 10 AND false
