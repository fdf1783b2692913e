// SPDX-License-Identifier: Apache-2.0
//
// From protoc's request to the model.
#pragma once

#include "tools/protoc-gen-ez/model.h"

// Builds the model of the files the request wants generated. What is wrong with them is noted as refusals; the model is
// then good for gen_check and nothing else.
void gen_load(gen_schema *schema, const Google__Protobuf__Compiler__CodeGeneratorRequest *request);
