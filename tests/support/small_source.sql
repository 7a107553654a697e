-- A few rows of every source table, with the quirks that break naive code.
INSERT INTO address VALUES (1, '1 Road', NULL, NULL, 'Leeds', '08841', 'Democratic People''s Republic of Korea', '1'),
                           (2, '2 Road', 'NA', '', 'York', '2', 'Turkey', '2'), (3, '3 Road', NULL, 'x', 'Bath', '3', 'Fiji', '3');
INSERT INTO counterparty VALUES (1, 'Leannon, Predovic and Morar', 1), (2, 'O''Keefe Ltd', 1), (3, '"Quoted"', 2);
INSERT INTO currency VALUES (1, 'GBP'), (2, 'USD'), (3, 'EUR');
INSERT INTO department VALUES (1, 'Sales', 'Manchester', 'M'), (2, 'Facilities', 'Leds', NULL), (3, 'Tech', NULL, NULL);
INSERT INTO design (design_id, design_name, file_location, file_name) VALUES (1, 'Wooden', '/lib', 'w.json'), (2, 'Steel', '', 'NULL');
INSERT INTO staff VALUES (1, 'Ann', 'O''Keefe', 1, 'a@t.com'), (2, 'Bob', E'line\nbreak', 1, 'b@t.com'), (3, 'Cy', 'C,', 2, 'c@t.com');
INSERT INTO payment_type VALUES (1, 'SALES_RECEIPT'), (2, 'PURCHASE_PAYMENT');
INSERT INTO sales_order SELECT n, '2024-01-05 08:00:00', '2024-01-05 08:00:00.96', 1 + n % 2, 1 + n % 3, 1 + n % 3, 1000 * n,
    2.5 + n / 100.0, 1 + n % 3, '2024-02-29', '2024-03-01', 1 + n % 3 FROM generate_series(1, 6) AS n;
INSERT INTO purchase_order SELECT n, '2024-01-06 18:59:59.001', '2024-01-06 18:59:59.001', 1 + n % 3, 1 + n % 3, '9002744', n,
    99.99, 2, '2024-01-09', '2024-01-10', 2 FROM generate_series(1, 3) AS n;
INSERT INTO transaction SELECT n, 'SALE', n, NULL FROM generate_series(1, 6) AS n;
INSERT INTO transaction SELECT 6 + n, 'PURCHASE', NULL, n FROM generate_series(1, 3) AS n;
INSERT INTO payment SELECT n, '2024-01-05', '2024-01-05', n, 1, 1234567890.12, 1, 1, n % 2 = 0, '2024-01-07', 1, 2
    FROM generate_series(1, 9) AS n;
