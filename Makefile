# Thin names for ./writer, which does the work.
.DEFAULT_GOAL := help
.PHONY: help up demo test slow check protos ci image

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
up: ## start everything on this machine
	@./writer up
demo: ## see three articles being made
	@./writer demo
test: ## run the default test suite
	@./writer test
slow: ## run all tests
	@./writer test --slow
check: ## run the static checks
	@./writer check
protos: ## write protos/gen anew from the contracts
	@./writer protos
ci: ## what continuous integration runs
	@.ci/run
image: ## build the container image
	@docker build --tag writer:latest .
