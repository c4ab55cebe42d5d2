"""Related Pins in Airflow 3: one run per UTC day, one at a time, missed days caught up in order.

The worker needs the environment in which related-pins is installed, and HOME on a disk that stays.
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

# Airflow writes postgres://, SQLAlchemy postgresql://
DATABASE = "{{ conn.related_pins.get_uri() | replace('postgres:', 'postgresql:', 1) }}"

with DAG(
    dag_id="related_pins",
    schedule=CronDataIntervalTimetable("15 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 11, 1),
    catchup=True,
    max_active_runs=1,
    default_args={"depends_on_past": True, "retries": 3, "retry_delay": timedelta(minutes=10)},
) as dag:
    daily = BashOperator(
        task_id="daily",
        bash_command=(
            "/opt/related-pins/.venv/bin/related-pins daily --source /data/pins "
            "--date {{ data_interval_start | ds }} --json"
        ),
        env={
            "RELATED_PINS_HOME": "/srv/related-pins",
            "RELATED_PINS_DB": DATABASE,
        },
        append_env=True,
        execution_timeout=timedelta(hours=6),
    )
