"""The process that writes MLflow runs with dagster-mlflow. `rag_assets.tracking.mlflow_process` starts it."""
