"""The workbench: takes a model, photos, a run or an audit, gives a page in the browser and an API under ``/api/v1``
that answer questions about them. What is asked of the model is asked through `seewhy.api`, one thing at a time."""
