"""Processes for writing MLflow runs with dagster-mlflow. `rag_assets.tracking.mlflow_process` starts them."""
