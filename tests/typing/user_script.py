"""What a user writes, with two mistakes for a type checker to find: `test_user_script.py`. Nobody runs it."""

import keras

import keras_booth
from keras_booth.callbacks import SampleGrid
from keras_booth.data import photo_dataset

PROMPT = "a photo of sks dog in the snow"

# A base, and class images that it draws before it is trained.
booth = keras_booth.DreamBooth.from_preset("tiny_world", identifier="sks", class_noun="dog", train_text_encoder=True)
prior = booth.class_images(count=96)
print(len(prior.path), prior.prompts[0])  # MISTAKE: `paths`

# Photographs and class images in one stream.
data = photo_dataset("photos/orange_dog", prior, booth, batch_size=8, cache_latents=True)

# Training, with a sheet of pictures now and then.
booth.compile(optimizer=keras.optimizers.AdamW(4e-4, global_clipnorm=1.0), prior_loss_weight=1.0)
booth.fit(data, epochs=12, callbacks=[SampleGrid([PROMPT], every=100, folder="runs/samples")])

# Drawing.
pictures = booth.generate(PROMPT, count="4", seed=0)  # MISTAKE: a number
keras_booth.figures.image_grid([pictures], [PROMPT], title=f"{pictures.shape[0]} pictures").save("samples.png")

# A file, and back.
booth.save("dog.keras")
again = keras.saving.load_model("dog.keras")
again = keras_booth.load("dog.keras")
print(again.image_size[0] // 2, again.lora_scale + 1.0, again.base.config.unet.widths)
