-- Twelve questions that people ask of the totesys warehouse. Each is one query; with its number N:
--
--     sed -n '/^-- N\. /,/;$/p' docs/questions.sql | python deploy.py query -
--
-- current_* views have the present, history_* views every version. All of them run in tests/pipeline/test_questions.py,
-- where each is compared with a query on the source.

-- 1. What did we sell on each of the last days, in each currency?
SELECT o.created_date, c.currency_code, count(*) AS orders, sum(o.units_sold) AS units,
       sum(o.units_sold * o.unit_price) AS revenue
FROM current_fact_sales_order AS o
JOIN dim_currency AS c USING (currency_id)
GROUP BY o.created_date, c.currency_code
ORDER BY o.created_date DESC, c.currency_code
LIMIT 100;

-- 2. Which designs bring in the most, in each currency?
SELECT d.design_name, c.currency_code, sum(o.units_sold) AS units, sum(o.units_sold * o.unit_price) AS revenue
FROM current_fact_sales_order AS o
JOIN dim_design AS d USING (design_id)
JOIN dim_currency AS c USING (currency_id)
GROUP BY d.design_id, d.design_name, c.currency_code
ORDER BY revenue DESC, d.design_name, c.currency_code
LIMIT 20;

-- 3. Who sells, and how much on average?
SELECT s.first_name, s.last_name, s.department_name, count(*) AS orders, round(avg(o.units_sold), 2) AS units_per_order
FROM current_fact_sales_order AS o
JOIN dim_staff AS s ON s.staff_id = o.sales_staff_id
GROUP BY s.staff_id, s.first_name, s.last_name, s.department_name
ORDER BY orders DESC, s.staff_id;

-- 4. To which countries do we deliver?
SELECT l.country, count(*) AS orders, sum(o.units_sold) AS units
FROM current_fact_sales_order AS o
JOIN dim_location AS l ON l.location_id = o.agreed_delivery_location_id
GROUP BY l.country
ORDER BY units DESC, l.country;

-- 5. Which customers are our largest, by units, and where are they?
SELECT p.counterparty_legal_name, p.counterparty_legal_country, count(*) AS orders, sum(o.units_sold) AS units
FROM current_fact_sales_order AS o
JOIN dim_counterparty AS p USING (counterparty_id)
GROUP BY p.counterparty_id, p.counterparty_legal_name, p.counterparty_legal_country
ORDER BY units DESC, p.counterparty_legal_name
LIMIT 20;

-- 6. How do sales of each quarter compare with those of the quarter before?
SELECT year, quarter, units, units - lag(units) OVER (ORDER BY year, quarter) AS growth
FROM (
    SELECT d.year, d.quarter, sum(o.units_sold) AS units
    FROM current_fact_sales_order AS o
    JOIN dim_date AS d ON d.date_id = o.created_date
    GROUP BY d.year, d.quarter
) AS quarters
ORDER BY year, quarter;

-- 7. On which day of the week do orders come in?
SELECT d.day_name, count(*) AS orders
FROM current_fact_sales_order AS o
JOIN dim_date AS d ON d.date_id = o.created_date
GROUP BY d.day_of_week, d.day_name
ORDER BY d.day_of_week;

-- 8. What is due and what was paid, to us and by us, in each currency?
SELECT t.payment_type_name, c.currency_code, count(*) FILTER (WHERE NOT p.paid) AS payments_due,
       coalesce(sum(p.payment_amount) FILTER (WHERE NOT p.paid), 0) AS due,
       coalesce(sum(p.payment_amount) FILTER (WHERE p.paid), 0) AS paid
FROM current_fact_payment AS p
JOIN dim_payment_type AS t USING (payment_type_id)
JOIN dim_currency AS c USING (currency_id)
GROUP BY t.payment_type_name, c.currency_code
ORDER BY t.payment_type_name, c.currency_code;

-- 9. Which unpaid payments were due longest ago?
SELECT p.payment_id, n.counterparty_legal_name, p.payment_date, p.payment_amount
FROM current_fact_payment AS p
JOIN dim_counterparty AS n USING (counterparty_id)
WHERE NOT p.paid
ORDER BY p.payment_date, p.payment_id
LIMIT 20;

-- 10. What do we buy most, and at which price?
SELECT b.item_code, sum(b.item_quantity) AS quantity, min(b.item_unit_price) AS lowest, max(b.item_unit_price) AS highest
FROM current_fact_purchase_orders AS b
GROUP BY b.item_code
ORDER BY quantity DESC, b.item_code
LIMIT 20;

-- 11. Which orders changed most often, and when last?
SELECT sales_order_id, count(*) AS versions, max(valid_from) AS last_change
FROM history_fact_sales_order
GROUP BY sales_order_id
HAVING count(*) > 1
ORDER BY versions DESC, sales_order_id
LIMIT 20;

-- 12. By how much did the price of an order move since its first version?
SELECT sales_order_id, first_price, last_price, last_price - first_price AS moved
FROM (
    SELECT DISTINCT sales_order_id,
           first_value(unit_price) OVER by_version AS first_price,
           last_value(unit_price) OVER by_version AS last_price
    FROM history_fact_sales_order
    WINDOW by_version AS (
        PARTITION BY sales_order_id ORDER BY sales_record_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
) AS prices
WHERE first_price <> last_price
ORDER BY sales_order_id;
