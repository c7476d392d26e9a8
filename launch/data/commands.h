// The subcommands of `rookery data`, a file each; data.cpp holds the table.
#pragma once
#include <span>

#include "launch/subcommands.h"

namespace rk {

std::span<const Subcommand> data_commands();

int data_tokenize_main(int argc, char** argv);
int data_make_data_main(int argc, char** argv);
int data_preprocess_data_main(int argc, char** argv);
int data_concat_main(int argc, char** argv);
int data_split_main(int argc, char** argv);
int data_verify_main(int argc, char** argv);
int data_info_main(int argc, char** argv);
int data_prime_main(int argc, char** argv);
int data_order_main(int argc, char** argv);

}  // namespace rk
