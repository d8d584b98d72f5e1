"""Reports whose claims can be checked: each carries a query over the run or a quotation from it."""
