-- createdb: ENCODING 'UTF8'
-- The ends of every type's range, large rows, and at last settings of the database that change what a naive client
-- reads or may do.
CREATE TABLE numbers (s smallint, i integer, b bigint, n numeric, r real, d double precision, m money, o oid);
INSERT INTO numbers VALUES (-32768, -2147483648, -9223372036854775808, 'NaN', 'NaN', 'NaN', '-92233720368547758.08', 0),
  (32767, 2147483647, 9223372036854775807, 1e-200, 1.17549435e-38, 5e-324, '92233720368547758.07', 4294967295),
  (0, 0, 0, 12345678901234567890.123456789012345678901234567890, 0.1::real + 0.2::real, 0.1 + 0.2::double precision, 0, 1),
  (NULL, NULL, NULL, NULL, '-Infinity', 'Infinity', NULL, NULL), (1, 1, 1, 1.000, '-0', '-0', 1, 2);
CREATE TABLE times (d date, t time, tz timetz, ts timestamp, tstz timestamptz, i interval);
INSERT INTO times VALUES ('infinity', '24:00', '23:59:60+14', 'infinity', '-infinity', '-178000000 years'), ('4713-11-24 BC', '00:00', '00:00-15:59', '4713-11-24 00:00 BC', '0001-01-01 00:00+00 BC', '1 mon -1 day 00:00:00.000001'),
  ('5874897-12-31', '12:34:56.789012', '12:34:56.789012+05:30', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '-1 year 2 mons -3 days 04:05:06.7'),
  ('2026-02-03', NULL, NULL, '2026-10-25 02:30', '2026-10-25 00:30+00', '0');
CREATE TABLE texts (c char(5), v varchar(3), t text, n name, q "char", b bytea, j json, jb jsonb, x xml, p jsonpath);
INSERT INTO texts VALUES ('a', '', '', '', '', '', '{"b":1,  "a" : 2, "a":3}', '{"b":1, "a":2, "n": 1.50, "e": 1e3}', '<a>&lt;</a>', '$.a[*] ? (@ > 1)'),
  ('  x', 'é', E'\x01\x02\x7f', 'n', '\377', '\x00ff5c0a0d', '"\u0041"', '"\\\""', NULL, NULL), (NULL, NULL, E'\u2028\ufeff😀', NULL, NULL, NULL, 'null', 'null', '<!-- c -->', 'strict $');
CREATE TABLE others (bi bit(3), vb bit varying, u uuid, ip inet, ci cidr, ma macaddr, m8 macaddr8, pt point, ln line, ls lseg, bx box, pa path, po polygon, ci2 circle, tv tsvector, tq tsquery, lsn pg_lsn, rc regclass, rt regtype, xi xid, ti tid, sn txid_snapshot);
INSERT INTO others VALUES ('101', '', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::ffff:1.2.3.4/96', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1e-300,-0)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,2)]', '((0,0),(1,2),(3,1))', '<(1,1),0.1>',
  'a:1A ''b c'':2B,3', '!a & (b | c:*)', '16/B374D848', 'numbers', 'double precision[]', '7', '(1,2)', '10:20:10,14,15');
CREATE TABLE nested (a int[][], t text[], lower int[], r int4range, dr daterange, tr tstzrange[], nr numrange, e int[]);
INSERT INTO nested VALUES ('{{1,2},{3,NULL}}', ARRAY['', 'NULL', NULL, '{}', 'a,b', '"', E'\\', E'\n'], '[-2:0]={1,2,3}', 'empty', '(,)', ARRAY['[2026-01-01 00:00+00,)'::tstzrange], '(,5.50]', '{}');
CREATE TYPE pair AS (a text, b int[]);
CREATE TABLE composite (p pair, ps pair[], d point[]);
INSERT INTO composite VALUES (ROW(NULL, NULL), ARRAY[ROW('', '{1}')::pair, NULL], NULL), (ROW(E'a"(,\\', ARRAY[1, NULL]), '{}', ARRAY['(1,2)'::point]), (NULL, NULL, NULL);
-- rows larger than any block, between small ones
CREATE TABLE large (id int PRIMARY KEY, t text, b bytea);
INSERT INTO large SELECT n, CASE WHEN n % 7 = 0 THEN repeat('wide ' || n || E'\\\t', 300000) ELSE 'narrow' END, CASE WHEN n % 11 = 0 THEN decode(repeat(md5(n::text), 40000), 'hex') END FROM generate_series(1, 30) n;
CREATE TABLE many (id int, v text);
INSERT INTO many SELECT n, md5(n::text) FROM generate_series(1, 60000) n;
SELECT format('ALTER DATABASE %I SET %s', current_database(), setting) FROM unnest(ARRAY[
  'DateStyle = ''SQL, DMY''', 'IntervalStyle = sql_standard', 'TimeZone = ''Asia/Kathmandu''', 'bytea_output = escape', 'extra_float_digits = -15', 'xmlbinary = hex', 'xmloption = document',
  'search_path = nowhere', 'standard_conforming_strings = off', 'backslash_quote = off', 'quote_all_identifiers = on', 'statement_timeout = ''700ms''', 'lock_timeout = ''1ms''', 'row_security = off', 'synchronize_seqscans = on',
  'default_transaction_isolation = serializable', 'default_transaction_read_only = on', 'lc_monetary = ''C''', 'check_function_bodies = on', 'array_nulls = off', 'escape_string_warning = on']) setting \gexec
