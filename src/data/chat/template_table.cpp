#include "data/chat/template.h"

// One template a line, as a file that --template names holds one; template.h says what the fields mean.
namespace rk {

std::string_view shipped_templates() {
  return R"json({"name": "rwkv", "system": "", "system_form": "System: {system}", "prompt": "User: {query}\n\nAssistant:", "lead": " ", "sep": "\n\n", "stop": "\n\nUser:", "end": "stop_text", "clean": true}
{"name": "sft", "system": "Below is an instruction that describes a task. Write a response that appropriately completes the request.", "prompt": "### Instruction:\n{query}\n\n### Response:", "sep": "\n\n", "stop": "\n\u0017", "end": "text"}
{"name": "vicuna", "system": "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.", "prompt": "USER: {query} ASSISTANT:", "sep": "</s>", "stop": "</s>"}
{"name": "base", "system": "", "prompt": "{query}", "sep": "</s>", "stop": "</s>"}
{"name": "alpaca", "system": "Below is an instruction that describes a task. Write a response that appropriately completes the request.", "prompt": "### Instruction:\n{query}\n\n### Response:\n", "sep": "\n\n", "stop": "</s>"}
{"name": "baichuan", "system": "", "prompt": "<reserved_102>{query}<reserved_103>", "sep": "</s>", "stop": "</s>"}
{"name": "baichuan2", "system": "", "prompt": "<reserved_106>{query}<reserved_107>", "sep": "</s>", "stop": "</s>"}
{"name": "ziya", "system": "", "prompt": "<human>:{query}\n<bot>:", "sep": "\n", "stop": "</s>"}
{"name": "linly", "system": "", "prompt": "User: {query}\nBot: ", "sep": "\n", "stop": "</s>"}
{"name": "chatglm", "system": "", "prompt": "问：{query}\n答：", "sep": "\n", "stop": "</s>"}
{"name": "chatglm2", "system": "", "prompt": "问：{query}\n\n答：", "sep": "\n\n", "stop": "</s>"}
{"name": "chatglm3", "system": "", "prompt": "<|user|>\n{query}<|assistant|>", "sep": "\n", "stop": "<|user|>"}
{"name": "phoenix", "system": "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions.\n\n", "prompt": "Human: <s>{query}</s>Assistant: ", "sep": "</s>", "stop": "</s>"}
{"name": "belle", "system": "", "prompt": "Human: {query}\n\nBelle: ", "sep": "\n\n", "stop": "</s>"}
{"name": "aquila", "system": "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions.", "prompt": "Human: {query}###Assistant:", "sep": "###", "stop": "</s>"}
{"name": "intern", "system": "", "prompt": "<|User|>:{query}<eoh>\n<|Bot|>:", "sep": "<eoa>\n", "stop": "<eoa>"}
{"name": "intern2", "system": "<|im_start|>system\nYou are an AI assistant whose name is InternLM (书生·浦语).\n<|im_end|>\n", "prompt": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n", "sep": "<|im_end|>\n", "stop": "<|im_end|>"}
{"name": "starchat", "system": "<system>\n", "prompt": "<|user|>\n{query}<|end|>\n<|assistant|>\n", "sep": "<|end|>\n", "stop": "<|end|>"}
{"name": "llama2", "system": "<<SYS>>\nYou are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe. Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. Please ensure that your responses are socially unbiased and positive in nature.\n\nIf a question does not make any sense, or is not factually coherent, explain why instead of answering something not correct. If you don't know the answer to a question, please don't share false information.\n<</SYS>>\n\n", "prompt": "[INST] {query} [/INST]", "sep": "</s>", "stop": "</s>"}
{"name": "llama3", "system": "<|start_header_id|>system<|end_header_id|>\n\nYou are a helpful, excellent and smart assistant.", "prompt": "<|start_header_id|>user<|end_header_id|>\n\n{query}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "sep": "<|eot_id|>", "stop": "<|eot_id|>"}
{"name": "llama2-zh", "system": "[INST] <<SYS>>\nYou are a helpful assistant. 你是一个乐于助人的助手。\n<</SYS>>\n\n [/INST]", "prompt": "[INST] {query} [/INST]", "sep": "</s>", "stop": "</s>"}
{"name": "mistral", "system": "", "prompt": "[INST] {query} [/INST]", "sep": "</s>", "stop": "</s>"}
{"name": "xverse", "system": "", "prompt": "Human: {query}\n\nAssistant: ", "sep": "</s>", "stop": "</s>"}
{"name": "chatml", "system": "You are a helpful assistant.", "prompt": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n", "sep": "<|im_end|>\n", "stop": "<|im_end|>"}
{"name": "deepseek", "system": "", "prompt": "User: {query}\n\nAssistant:", "sep": "</s>", "stop": "</s>"}
{"name": "deepseek3", "system": "", "prompt": "<｜User｜>{query}<｜Assistant｜>", "sep": "</s>", "stop": "</s>"}
{"name": "deepseekcoder", "system": "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, and you only answer questions related to computer science. For politically sensitive questions, security and privacy issues, and other non-computer science questions, you will refuse to answer\n", "prompt": "### Instruction:\n{{content}}\n### Response:\n", "sep": "\n", "stop": "<|EOT|>"}
{"name": "deepseekcoder_fixed", "system": "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, and you only answer questions related to computer science. For politically sensitive questions, security and privacy issues, and other non-computer science questions, you will refuse to answer\n", "prompt": "### Instruction:\n{query}\n### Response:\n", "sep": "\n", "stop": "<|EOT|>"}
{"name": "yi", "system": "", "prompt": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n", "sep": "\n", "stop": "<|im_end|>"}
{"name": "orion", "system": "", "prompt": "Human: {query}\n\nAssistant: </s>", "sep": "</s>", "stop": "</s>"}
{"name": "cohere", "system": "<BOS_TOKEN>", "prompt": "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{query}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "sep": "</s>", "stop": "</s>"}
{"name": "qwen", "system": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", "prompt": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n", "sep": "\n", "stop": "<|im_end|>"}
{"name": "qwen3", "system": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", "prompt": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n", "sep": "\n", "stop": "<|im_end|>"}
{"name": "qwen3_nothink", "system": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", "prompt": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n", "sep": "\n", "stop": "<|im_end|>"}
{"name": "qwen3_5", "system": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", "prompt": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n", "sep": "\n", "stop": "<|im_end|>"}
{"name": "qwen3_5_nothink", "system": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", "prompt": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n", "sep": "\n", "stop": "<|im_end|>"}
)json";
}

}  // namespace rk
