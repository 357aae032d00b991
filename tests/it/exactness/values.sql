CREATE SCHEMA e; SET search_path = e; SET TimeZone = 'UTC'; SET lc_monetary = 'C';
CREATE TYPE mood AS ENUM ('calm', 'it''s, "odd"', '', E'\\ \n');
CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);
CREATE TYPE inner_pair AS (a int, m mood, p positive);
CREATE TYPE outer_pair AS (i inner_pair, l inner_pair[], t text);
CREATE DOMAIN texts AS text[] CHECK (cardinality(VALUE) < 10);
CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);

CREATE TABLE numbers (s smallint, i int, b bigint, n numeric, r real, d double precision, m money, o oid);
INSERT INTO numbers VALUES (-32768, -2147483648, -9223372036854775808, 'NaN', 'NaN', 'NaN', '-92233720368547758.08', 0),
  (32767, 2147483647, 9223372036854775807, 1e-16383, 1.4e-45, 5e-324, '92233720368547758.07', 4294967295),
  (0, 0, 0, -1e-200, '-0', '-0', 0, 1), (1, 1, 1, 0.00000, '-Infinity', 'Infinity', '0.01', 2),
  (2, 2, 2, 1e131071, 3.4028235e38, 1.7976931348623157e308, 1, 3), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 3, 3, 100, 1.17549435e-38, 2.2250738585072014e-308, 1, 3), (4, 4, 4, 1.10, 0.1::real + 0.2::real, 0.1 + 0.2::float8, 1, 3);
INSERT INTO numbers (n) SELECT (repeat('9', g) || '.' || repeat('7', 200 - g))::numeric FROM generate_series(1, 199, 9) g;
INSERT INTO numbers (r, d) SELECT (random() * 10 ^ (g % 70 - 35))::real, random() * 10 ^ (g % 600 - 300) FROM generate_series(1, 2000) g;

CREATE TABLE times (d date, t time, tz timetz, ts timestamp, tstz timestamptz, i interval, t3 time(3), i2 interval day to second(2));
INSERT INTO times VALUES ('infinity', '24:00', '23:59:59.999999+15:59:59', 'infinity', '-infinity', '-178000000 years', '23:59:59.9996', '1 day 01:02:03.456'),
  ('-infinity', '00:00', '00:00-15:59:59', '-infinity', 'infinity', '178000000 years -11 mons 31 days -23:59:59.999999', '00:00', '0'),
  ('4714-11-24 BC', '12:00:00.000001', '12:00+00', '4714-11-24 00:00:00 BC', '4714-11-24 00:00:00+00 BC', '1 mon -1 day 00:00:00.000001', NULL, NULL),
  ('0001-01-01 BC', NULL, NULL, '0001-12-31 23:59:59.999999 BC', '0001-01-01 00:00+00', '-1 mon +1 day', NULL, NULL),
  ('5874897-12-31', NULL, NULL, '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '-00:00:00.000001', NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO times (ts, tstz, i) SELECT timestamp '1900-01-01' + g * interval '37 days 05:07:11.131719', timestamptz '1800-01-01 00:00+00' + g * interval '61 days 11:13:17.9', g * interval '1 mon 1 day -00:00:01.000007' FROM generate_series(1, 1500) g;

CREATE TABLE words (c char(5), v varchar(3), t text, n name, b bytea, x xml, j json, jb jsonb, p jsonpath, tv tsvector, tq tsquery);
INSERT INTO words VALUES ('', '', '', '', '', '', '{"b":1,  "a" : 2, "a":3}', '{"b":1, "n": 1.50, "e": 1e30}', '$.a[*] ? (@ > 1 && @.b like_regex "^x\\d" flag "i")', '', ''),
  (' a', 'é', E'\x01\x02\x7f\b\f\v', 'n', '\x00ff5c0a0d275c2e', '<a b="c">&lt;</a>', '"\u0041\\"', '"\\\"\u2028"', 'strict $', 'a:1A ''b c'':2B,3 ''\\'':4', '!a & (b | c:*AB) <2> ''d e'''),
  (NULL, NULL, NULL, NULL, NULL, NULL, 'null', 'null', NULL, NULL, NULL), ('\N', '\.', '\N', '\.', '\x5c2e', '<?x y?><!-- \. -->', '[]', '[]', 'lax $.*', NULL, NULL),
  (E'\t', E'\r\n', E'\\.\n', E'a\nb', decode(repeat('00', 3000), 'hex'), 'text', '{"a":"\\u0000"}', '{"": {"": [null, true, -0.0]}}', NULL, NULL, NULL);
INSERT INTO words (t) SELECT chr(g) || E'\\' || chr(g) FROM generate_series(1, 3000) g WHERE g NOT BETWEEN 55296 AND 57343;
INSERT INTO words (t) SELECT chr(g) FROM generate_series(65536, 1114111, 9973) g;
INSERT INTO words (b) SELECT decode(lpad(to_hex(g), 4, '0'), 'hex') FROM generate_series(0, 65535, 7) g;

CREATE TABLE shapes (p point, l line, ls lseg, b box, pa path, po polygon, c circle);
INSERT INTO shapes VALUES ('(NaN,-0)', '{1,2,3}', '[(0,0),(1e-300,1e300)]', '(1,1),(0,0)', '[(0,0),(1,2)]', '((0,0),(1,2),(3,1))', '<(1,1),0>'),
  ('(Infinity,-Infinity)', '{0.1,-0.2,0.3}', NULL, NULL, '((0,0),(1,2))', '((0,0))', '<(0.1,0.2),1e-5>'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE nets (i inet, c cidr, m macaddr, m8 macaddr8, bt bit(9), vb bit varying, v3 bit varying(3), u uuid);
INSERT INTO nets VALUES ('::ffff:1.2.3.4/96', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '101010101', '', '', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  ('0.0.0.0/0', '::/0', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00:00:00', B'0'::bit(9), repeat('10', 500)::bit varying, '1', '00000000-0000-0000-0000-000000000000'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE ids (x xid, x8 xid8, c cid, t tid, l pg_lsn, s txid_snapshot, s2 pg_snapshot, o oid, rc regclass, rp regproc, rpp regprocedure, ro regoper, rop regoperator, rt regtype, rn regnamespace, rr regrole, rcfg regconfig, rd regdictionary, rco regcollation, ov oidvector, iv int2vector);
INSERT INTO ids VALUES ('4294967295', '18446744073709551615', '4294967295', '(4294967295,65535)', 'FFFFFFFF/FFFFFFFF', '10:20:10,14', '10:20:10,14', 4294967295, 'e.numbers', 'pg_catalog.now', 'lower(text)', '||/', '+(integer,integer)', 'double precision[]', 'e', 'postgres', 'english', 'simple', '"C"', '1 2', '-3 4'),
  ('0', '0', '0', '(0,0)', '0/0', '1:1:', '1:1:', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', ''), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE nested (a int[], t text[], n numeric[], d texts, o outer_pair, os outer_pair[], ms mood[], b box[], by bytea[], j jsonb[], ts timestamptz[], cs "char"[]);
INSERT INTO nested VALUES ('[-5:-3][2:3]={{1,2},{3,NULL},{5,6}}', ARRAY['', 'NULL', NULL, '{}', 'a,b', '"', E'\\', E'\n', ' '], '{NaN,1.10,-0}', '{a,NULL}',
  ROW(ROW(1, '', 2.50), ARRAY[ROW(NULL, NULL, NULL)::inner_pair, NULL], E'a"(,\\'), ARRAY[ROW(NULL, '{}', '')::outer_pair, NULL], enum_range(NULL::mood), '{(1,1),(0,0);(2,2),(1,1)}', ARRAY['\x'::bytea, NULL, '\x5c'], ARRAY['null'::jsonb, NULL, '{"a": "\\"}'], '{infinity,NULL}', '{a,"","\\"}'),
  ('{}', '{{{a},{b}}}', '{}', '{}', ROW(NULL, NULL, NULL), '{}', '{}', '{}', '{}', '{}', '{}', '{}'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE ranges (i int4range, b int8range, n numrange, ts tsrange, tz tstzrange, d daterange, s span, ss span[]);
INSERT INTO ranges VALUES ('empty', '(,)', '(,5.50]', '[-infinity,infinity]', '["2026-01-01 00:00+00",)', '[4714-11-24 BC,infinity)', '[-0,1e-300)', ARRAY['empty'::span, '(NaN,)', NULL]), ('[1,1]', '[5,7)', '[NaN,NaN]', NULL, '(,"0001-01-01 00:00+00 BC"]', '(,)', NULL, '{}');

CREATE TABLE nothing (); INSERT INTO nothing SELECT FROM generate_series(1, 1234);
CREATE TABLE was_something (a int, b text); INSERT INTO was_something SELECT g, 'x' FROM generate_series(1, 77) g; ALTER TABLE was_something DROP a, DROP b;
CREATE TABLE holed (a int, gone text, b text DEFAULT 'b', gone_too int, c int); INSERT INTO holed SELECT g, 'x', g, g, g FROM generate_series(1, 50) g;
ALTER TABLE holed DROP gone, DROP gone_too, ADD late text DEFAULT 'fast', ADD later int GENERATED ALWAYS AS (a * 2) STORED; UPDATE holed SET late = NULL WHERE a % 2 = 0;
CREATE TABLE parent (a int, b text, c date); CREATE TABLE mother (d int);
CREATE TABLE permuted (c date, x text, b text, a int); ALTER TABLE permuted INHERIT parent;
CREATE TABLE of_both (extra int) INHERITS (parent, mother);
INSERT INTO parent VALUES (1, 'p', '2026-01-01'); INSERT INTO permuted VALUES ('2026-01-02', 'x', 'q', 2); INSERT INTO of_both VALUES (3, 'r', NULL, 4, 5);
CREATE TABLE by_mood (m mood, v int) PARTITION BY HASH (m);
SELECT format('CREATE TABLE by_mood_%s PARTITION OF by_mood FOR VALUES WITH (MODULUS 3, REMAINDER %1$s)', g) FROM generate_series(0, 2) g \gexec
INSERT INTO by_mood SELECT m, g FROM unnest(enum_range(NULL::mood)) m, generate_series(1, 100) g;
CREATE TABLE by_expression (k text, v int) PARTITION BY RANGE (lower(k), v);
CREATE TABLE by_expression_1 (v int, k text); ALTER TABLE by_expression ATTACH PARTITION by_expression_1 FOR VALUES FROM (MINVALUE, MINVALUE) TO ('m', 5);
CREATE TABLE by_expression_rest PARTITION OF by_expression DEFAULT; INSERT INTO by_expression SELECT chr(65 + g % 52), g FROM generate_series(1, 200) g;
SELECT format('CREATE TABLE wide (%s)', string_agg(format('c%s %s', g, CASE WHEN g % 3 = 0 THEN 'text' WHEN g % 3 = 1 THEN 'boolean' ELSE 'smallint' END), ', ')) FROM generate_series(1, 1600) g \gexec
INSERT INTO wide (c1, c2, c3, c1600) VALUES (true, 7, 'x', false); INSERT INTO wide DEFAULT VALUES;

CREATE SEQUENCE up AS bigint MAXVALUE 9223372036854775807; SELECT setval('up', 9223372036854775807);
CREATE SEQUENCE down INCREMENT -7 MINVALUE -9223372036854775808 MAXVALUE 5 START 5 CYCLE CACHE 9; SELECT setval('down', -9223372036854775808, false);
CREATE SEQUENCE small AS smallint START -32768 MINVALUE -32768; CREATE SEQUENCE used; SELECT nextval('used'), nextval('used');
CREATE TABLE counted (a int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5), b serial, c text); INSERT INTO counted (c) SELECT 'x' FROM generate_series(1, 9);

SELECT lo_create(1), lo_create(4294967295), lo_from_bytea(2, ''), lo_from_bytea(2147483648, decode(repeat('00ff5c27', 2000), 'hex'));
SELECT lo_from_bytea(3, '\x01'), lo_put(3, 2048 * 5 + 17, '\xff'), lo_from_bytea(4, decode(repeat('ab', 2048), 'hex')), lo_from_bytea(5, decode(repeat('cd', 2048 * 3), 'hex'));
SELECT lo_from_bytea(6, decode(repeat('0123456789abcdef', 40000), 'hex'));
