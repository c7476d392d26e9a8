#!/usr/bin/env bash
# RWKV-4, 5.2 and 6: fresh weights, training in the old trainers' words, an exact resume, text, loss, and files there and back.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
make_data data 4000
sizes=(--n_layer 2 --n_embd 64 --vocab_size 64)
run=("${sizes[@]}" --data_file data --ctx_len 32 --micro_bsz 2 --lr_init 1e-2 --lr_final 1e-3 --weight_decay 0.1 --weight_decay_final 0.01 --threads 1)

family() {  # family MY_TESTING NAME OPTIONS...: `OPTIONS` are of the model
  local type=$1 name=$2
  shift 2
  "$rookery" train --my_testing "$type" --my_pile_stage 1 --proj_dir "$type" "${sizes[@]}" "$@" > shown 2>&1
  check "$type: stage 1 ends" equal $? 0
  check "$type: it is $name" contains "$("$rookery" inspect "$type/rwkv-init.pth")" "$name"
  "$rookery" train --my_testing "$type" --my_pile_stage 3 --load_model 0 --proj_dir "$type" "${run[@]}" "$@" --max_steps 6 > shown 2>&1
  check "$type: stage 3 trains what stage 1 wrote" equal $? 0

  "$rookery" train --my_testing "$type" --my_pile_stage 3 --load_model "$type/rwkv-init.pth" --proj_dir "$type-cut" "${run[@]}" "$@" \
    --max_steps 6 --save_every 4 > shown 2>&1
  rm -r "$type-cut"/step-00000006
  "$rookery" train --my_testing "$type" --my_pile_stage 3 --proj_dir "$type-cut" "${run[@]}" "$@" --max_steps 6 > shown 2>&1
  check "$type: the numbers of a resumed run are those of a whole one" equal "$(numbers "$type-cut")" "$(numbers "$type")"
  { "$rookery" convert "$type/rwkv-final.pth" "$type.safetensors" && "$rookery" convert "$type-cut/rwkv-final.pth" "$type-cut.safetensors"; } > /dev/null
  check "$type: so are its weights" cmp "$type.safetensors" "$type-cut.safetensors"
  mkdir -p back
  { "$rookery" convert "$type.safetensors" back/rwkv-final.pth && "$rookery" convert back/rwkv-final.pth "$type-back.safetensors"; } > /dev/null
  check "$type: files survive the way there and back" cmp "$type.safetensors" "$type-back.safetensors"

  local text
  text=$("$rookery" generate "$type/rwkv-final.pth" --tokenizer ids --prompt "1 2 3" --length 12 --seed 5 2> /dev/null)
  check "$type: text" equal "$(wc -w <<< "$text")" 15
  check "$type: the same from .safetensors" equal \
    "$("$rookery" generate "$type.safetensors" --tokenizer ids --prompt "1 2 3" --length 12 --seed 5 2> /dev/null)" "$text"
  check "$type: a loss" contains "$("$rookery" eval ppl "$type" --data_file data --ctx_len 32 2> /dev/null)" "loss "
}
family x040 RWKV-4
family x052 RWKV-5 --head_size_a 32
family x060 RWKV-6 --head_size_a 32

# Parts of old models, of which a sample cannot be cut.
old=(--my_testing "" --dialect rwkv4 --head_qk 8 --tiny_att_dim 8 --tiny_att_layer 1 --pre_ffn 1 --dim_att 96 --dropout 0.1)
"$rookery" train --proj_dir old "${run[@]}" "${old[@]}" --max_steps 3 > shown 2>&1
check "old parts are trained" equal $? 0
check "files of them hold masks" contains "$("$rookery" inspect old/rwkv-final.pth --tensors)" "copy_mask"
check "segments are refused" contains "$("$rookery" train --proj_dir x "${run[@]}" "${old[@]}" --chunk_ctx 8 2>&1)" "--chunk_ctx"

# Start states over frozen weights.
"$rookery" train --proj_dir states --train_type states --load_model x060/rwkv-final.pth --data_file data --ctx_len 32 --micro_bsz 2 \
  --threads 1 --max_steps 4 > shown 2>&1
check "state tuning ends" equal $? 0
check "its rates are told" grep -q "defaults of state tuning: lr_init 1" shown
check "its file holds states alone" equal "$("$rookery" inspect states/rwkv-final.pth --tensors | grep -c 'att.time_state')" 2
"$rookery" convert states merged.safetensors > /dev/null
text() { "$rookery" generate "$1" --tokenizer ids --prompt "1 2 3" --length 12 --temperature 0 2> /dev/null; }
check "a folder makes a model of both" equal "$(text merged.safetensors)" "$(text states)"
finish
