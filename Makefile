# Names for the stages of .ci/run, which is where they are defined: "make race" is ".ci/run race", "make ci" is all.
STAGES := tools format vet lint tidy build test race fuzz openapi e2e release

.PHONY: ci $(STAGES)
ci:
	.ci/run
$(STAGES):
	.ci/run $@
